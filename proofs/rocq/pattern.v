(******************************************************************************)
(*      A convolution is an index pattern times a kernel                      *)
(*                                                                            *)
(* An output o meets a tap a at the input read o a; where it is None, the tap *)
(* falls outside and meets a zero.  Every linear layer here is of this form:  *)
(* padding, resizing, pooling, convolution in any number of axes.             *)
(*                                                                            *)
(*           value x r == x i where r = Some i, and 0 where r = None          *)
(*     gather read k x == the tensor o |-> sum_a k o a * value x (read o a)   *)
(*   pattern_mx read k == its matrix                                          *)
(*          select s x == the tensor j |-> value x (s j): one tap, weight 1   *)
(*         select_mx s == its matrix: 0/1, at most one 1 in a row             *)
(*       place a b c   == the position (a, b, c), if all three are inside     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Pattern.
Variables (K : comRingType) (I O T : finType).
Implicit Types (read : O -> T -> option I) (k : O -> T -> K) (s : O -> option I) (x : I -> K).

Definition value x (r : option I) : K := if r is Some i then x i else 0.
Definition gather read k x o : K := \sum_a k o a * value x (read o a).
Definition pattern_mx read k : 'M[K]_(#|O|, #|I|) :=
  mxf (fun o i => \sum_a k o a * (read o a == Some i)%:R).
Definition select s x o : K := value x (s o).
Definition select_mx s : 'M[K]_(#|O|, #|I|) := mxf (fun o i => (s o == Some i)%:R).

Lemma value_sum x r : value x r = \sum_i (r == Some i)%:R * x i.
Proof.
case: r => [i|]; last by rewrite big1 // => i _; rewrite mul0r.
rewrite (bigD1 i) //= eqxx mul1r big1 ?addr0 // => j.
by rewrite eq_sym => ji; rewrite (inj_eq Some_inj) (negPf ji) mul0r.
Qed.

Theorem patternP read k x : pattern_mx read k *m vec x = vec (gather read k x).
Proof.
rewrite mxf_vec; apply/eq_vec => o; rewrite /gather.
under eq_bigr do rewrite mulr_suml; rewrite exchange_big; apply: eq_bigr => a _ /=.
by rewrite value_sum mulr_sumr; apply: eq_bigr => i _; rewrite mulrA.
Qed.

Theorem selectP s x : select_mx s *m vec x = vec (select s x).
Proof. by rewrite mxf_vec; apply/eq_vec => o; rewrite /select value_sum. Qed.

(* the matrix is linear in the kernel *)
Lemma pattern_mx_linear read c k k' :
  pattern_mx read (fun o a => c * k o a + k' o a) = c *: pattern_mx read k + pattern_mx read k'.
Proof.
apply/matrixP => o i; rewrite !mxE mulr_sumr -big_split; apply: eq_bigr => a _ /=.
by rewrite mulrDl mulrA.
Qed.

Lemma eq_pattern_mx read read' k k' :
  read =2 read' -> k =2 k' -> pattern_mx read k = pattern_mx read' k'.
Proof.
by move=> rr kk; apply/eq_mxf => o i; apply: eq_bigr => a _; rewrite rr kk.
Qed.

Lemma eq_select_mx s s' : s =1 s' -> select_mx s = select_mx s'.
Proof. by move=> ss; apply/eq_mxf => o i; rewrite ss. Qed.

End Pattern.

Section Compose.
Variables (K : comRingType) (I M O : finType).

Lemma value_comp (x : I -> K) (s : M -> option I) r :
  value (select s x) r = value x (obind s r).
Proof. by case: r. Qed.

Lemma select_mx_id : select_mx K (@Some I) = 1%:M.
Proof. by rewrite -mxf1; apply/eq_mxf => i j; rewrite (inj_eq Some_inj). Qed.

(* selections compose: R and P of one skip are one selection *)
Theorem select_mx_comp (s : O -> option M) (s' : M -> option I) :
  select_mx K s *m select_mx K s' = select_mx K (fun o => obind s' (s o)).
Proof.
rewrite mxf_mul; apply/eq_mxf => o i.
by rewrite -(value_sum (fun m => (s' m == Some i)%:R)); case: (s o).
Qed.

(* a selection before a convolution changes the pattern only: W P is a pattern *)
Theorem pattern_select (T : finType) (read : O -> T -> option M) (k : O -> T -> K)
    (s : M -> option I) :
  pattern_mx read k *m select_mx K s = pattern_mx (fun o a => obind s (read o a)) k.
Proof.
rewrite mxf_mul; apply/eq_mxf => o i.
under eq_bigr do rewrite mulr_suml; rewrite exchange_big; apply: eq_bigr => a _ /=.
under eq_bigr do rewrite -mulrA; rewrite -mulr_sumr.
by rewrite -(value_sum (fun m => (s m == Some i)%:R)); case: (read o a).
Qed.

End Compose.

(* three axes: channels, height, width *)
Section Place.
Variables (A B C : Type).

Definition place (a : option A) (b : option B) (c : option C) : option (A * B * C) :=
  if a is Some a' then if b is Some b' then if c is Some c' then Some (a', b', c')
  else None else None else None.

End Place.

Lemma place_eq (A B C : eqType) (a : option A) (b : option B) (c : option C) p :
  (place a b c == Some p) = [&& a == Some p.1.1, b == Some p.1.2 & c == Some p.2].
Proof.
case: p => -[p1 p2] p3; case: a => [a|] //; case: b => [b|] /=; last by rewrite andbF.
by case: c => [c|] /=; rewrite ?andbF // !(inj_eq Some_inj) -!pair_eqE /= andbA.
Qed.

Lemma insub_eq n (i : nat) (j : 'I_n) : ((insub i : option 'I_n) == Some j) = (j == i :> nat).
Proof.
case: insubP => [j' _ <-|]; first by rewrite (inj_eq Some_inj) eq_sym.
by move=> ni; apply/esym/negbTE; apply: contraNneq ni => <-.
Qed.

Lemma insub_None n i : ((insub i : option 'I_n) == None) = (n <= i)%N.
Proof.
case: insubP => [j _ <-|]; first by rewrite leqNgt ltn_ord.
by rewrite -leqNgt => ->.
Qed.

Print Assumptions patternP.
Print Assumptions selectP.
Print Assumptions select_mx_comp.
Print Assumptions pattern_select.
