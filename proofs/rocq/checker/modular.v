(******************************************************************************)
(*      Networks modulo a prime, compared at a point                          *)
(*                                                                            *)
(* A fraction whose divisor is a unit mod p has a residue.  Where two networks*)
(* differ mod p at one integer point, they differ over the rational numbers.  *)
(* That they agree at a random point is evidence: acceptance.v counts it.     *)
(*                                                                            *)
(*   residue p k == the residue of the fraction k, if good p k                *)
(*   run_mod p net ss X == what a network of residues makes of X           *)
(*   agree_mod p A B ss X == whether two do the same at X, to be run       *)
(*   prime_check p == p is prime, by trial division, to be run                *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Znumtheory Bool Lia.
From AlgebraicCNN.checker Require Import evaluator rational.
Import ListNotations.
Open Scope Z_scope.

Section Modulo.
Variable p : Z.

Fixpoint power_mod (b : Z) (n : positive) : Z :=
  match n with
  | xH => b mod p
  | xO m => let r := power_mod b m in (r * r) mod p
  | xI m => let r := power_mod b m in ((r * r) mod p * b) mod p
  end.
Definition above (e : Z) : Z := 2 ^ Z.max e 0.
Definition under (e : Z) (d : positive) : Z := 2 ^ Z.max (- e) 0 * Zpos d.
Definition inverse (a : Z) : Z := power_mod a (Z.to_pos (p - 2)).
(* 2^e / d *)
Definition unit_residue (e : Z) (d : positive) : Z := (inverse (under e d) * above e) mod p.
Definition good (e : Z) (d : positive) : bool := (inverse (under e d) * under e d) mod p =? 1.
Definition residue (k : number) : Z := (mantissa k mod p * unit_residue (exponent k) (divisor k)) mod p.
Definition madd (a b : Z) : Z := (a + b) mod p.
Definition mscale (k v : Z) : Z := (k * v) mod p.
Definition residues : list (layer number) -> list (layer Z) := map (map_layer residue).
Definition run_mod (net : list (layer Z)) (ss : list shape) (X : list Z) : list Z :=
  output 0 1 madd mscale net (cut ss X).
Fixpoint equal_lists (a b : list Z) : bool :=
  match a, b with x :: a', y :: b' => (x mod p =? y mod p) && equal_lists a' b' | [], [] => true | _, _ => false end.
Definition agree_mod (A B : list (layer Z)) (ss : list shape) (X : list Z) : bool :=
  equal_lists (run_mod A ss X) (run_mod B ss X).

Hypothesis p_big : 1 < p.
Definition good_number (k : number) : Prop := good (exponent k) (divisor k) = true.
(* a is the residue of q *)
Definition reduces (q : Q) (a : Z) : Prop :=
  exists n d u, (q * inject_Z d == inject_Z n)%Q /\ (p | u * d - 1) /\ (p | a * d - n).

Lemma near_mod a : (p | a - a mod p).
Proof. exists (a / p). rewrite (Z.div_mod a p) at 1 by lia. ring. Qed.
Lemma reduces_mod q a : reduces q a -> reduces q (a mod p).
Proof.
intros (n & d & u & E & U & A). exists n, d, u. repeat split; try assumption.
replace (a mod p * d - n) with ((a * d - n) - (a - a mod p) * d) by ring.
apply Z.divide_sub_r; [assumption|]. apply Z.divide_mul_l, near_mod.
Qed.
Lemma reduces_int z : reduces (inject_Z z) z.
Proof.
exists z, 1, 1. split; [ring|]. split; [exists 0; ring|]. replace (z * 1 - z) with 0 by ring. apply Z.divide_0_r.
Qed.
Lemma unit_mul u d u' d' : (p | u * d - 1) -> (p | u' * d' - 1) -> (p | (u * u') * (d * d') - 1).
Proof.
intros [x X] [y Y]. replace (u * u' * (d * d') - 1) with ((u * d - 1) * (u' * d') + (u' * d' - 1)) by ring.
rewrite X, Y. exists (x * (u' * d') + y). ring.
Qed.
Lemma reduces_add q a q' a' : reduces q a -> reduces q' a' -> reduces (q + q') (a + a').
Proof.
intros (n & d & u & E & U & A) (n' & d' & u' & E' & U' & A').
exists (n * d' + n' * d), (d * d'), (u * u'). split; [|split; [now apply unit_mul|]].
- rewrite inject_Z_plus, !inject_Z_mult, <- E, <- E'. ring.
- replace ((a + a') * (d * d') - (n * d' + n' * d)) with ((a * d - n) * d' + (a' * d' - n') * d) by ring.
  apply Z.divide_add_r; now apply Z.divide_mul_l.
Qed.
Lemma reduces_mul q a q' a' : reduces q a -> reduces q' a' -> reduces (q * q') (a * a').
Proof.
intros (n & d & u & E & U & A) (n' & d' & u' & E' & U' & A').
exists (n * n'), (d * d'), (u * u'). split; [|split; [now apply unit_mul|]].
- rewrite !inject_Z_mult, <- E, <- E'. ring.
- replace (a * a' * (d * d') - n * n') with ((a * d - n) * (a' * d') + n * (a' * d' - n')) by ring.
  apply Z.divide_add_r; [now apply Z.divide_mul_l|now apply Z.divide_mul_r].
Qed.
Lemma reduces_unique q q' a b : (q == q')%Q -> reduces q a -> reduces q' b -> a mod p = b mod p.
Proof.
intros Eq (n & d & u & E & U & A) (n' & d' & u' & E' & U' & A').
assert (N : n * d' = n' * d).
{ rewrite Eq in E. assert (H : (inject_Z (n * d') == inject_Z (n' * d))%Q) by (rewrite !inject_Z_mult, <- E, <- E'; ring).
  unfold Qeq in H. simpl in H. lia. }
assert (D : (p | a - b)).
{ destruct U as [x X], U' as [y Y], A as [k K], A' as [k' K'].
  assert (F : (a - b) * (d * d') = p * (k * d' - k' * d)).
  { replace ((a - b) * (d * d')) with ((a * d - n) * d' - (b * d' - n') * d + (n * d' - n' * d)) by ring.
    rewrite K, K', N. ring. }
  exists ((k * d' - k' * d) * (u * u') - (a - b) * (x * (u' * d') + y)).
  replace (a - b) with ((a - b) * (d * d') * (u * u') - (a - b) * (u * d * (u' * d') - 1)) at 1 by ring.
  rewrite F. replace (u * d * (u' * d') - 1) with ((u * d - 1) * (u' * d') + (u' * d' - 1)) by ring.
  rewrite X, Y. ring. }
destruct D as [k K]. replace a with (b + k * p) by lia. apply Z_mod_plus_full.
Qed.
Lemma fraction_under m e d : (fraction m e d * inject_Z (under e d) == inject_Z (m * above e))%Q.
Proof.
unfold fraction, under, above. rewrite !inject_Z_mult, !power_two by lia.
setoid_replace ((2 # 1) ^ Z.max e 0)%Q with ((2 # 1) ^ e * (2 # 1) ^ Z.max (- e) 0)%Q.
- field. apply pos_nonzero.
- rewrite <- Qpower_plus by exact two_nonzero. now replace (e + Z.max (- e) 0)%Z with (Z.max e 0) by lia.
Qed.
Lemma good_unit e d : good e d = true -> (p | inverse (under e d) * under e d - 1).
Proof.
intro G. apply Z.eqb_eq in G. exists (inverse (under e d) * under e d / p).
rewrite (Z.div_mod (inverse (under e d) * under e d) p) at 1 by lia. rewrite G. ring.
Qed.
Lemma residue_reduces k : good_number k -> reduces (rational k) (residue k).
Proof.
intro G. unfold residue. apply reduces_mod. apply good_unit in G.
set (m := mantissa k) in *. set (e := exponent k) in *. set (d := divisor k) in *.
exists (m * above e), (under e d), (inverse (under e d)). split; [apply fraction_under|]. split; [exact G|].
assert (M : (p | m - m mod p)) by apply near_mod.
assert (V : (p | inverse (under e d) * above e - unit_residue e d)) by apply near_mod.
replace (m mod p * unit_residue e d * under e d - m * above e) with
  (m * above e * (inverse (under e d) * under e d - 1)
   - m * under e d * (inverse (under e d) * above e - unit_residue e d)
   - (m - m mod p) * (unit_residue e d * under e d)) by ring.
apply Z.divide_sub_r; [apply Z.divide_sub_r|].
- now apply Z.divide_mul_r.
- now apply Z.divide_mul_r.
- now apply Z.divide_mul_l.
Qed.
Lemma run_reduces net ss X : Forall (fine_layer good_number) net ->
  Forall2 reduces (run net ss (map inject_Z X)) (run_mod (residues net) ss X).
Proof.
intro G. unfold run, run_mod, residues. apply output_rel with (fine := good_number).
- apply reduces_int.
- apply reduces_int.
- intros. apply reduces_mod, reduces_add; assumption.
- intros. apply reduces_mod, reduces_mul; [now apply residue_reduces|assumption].
- exact G.
- apply cut_rel. induction X; simpl; constructor; [apply reduces_int|assumption].
Qed.

Theorem disagree_mod A B ss X : length X = entries ss ->
  Forall (fine_layer good_number) A -> Forall (fine_layer good_number) B ->
  agree_mod (residues A) (residues B) ss X = false -> ~ same ss A B.
Proof.
intros L GA GB H S. assert (E := S (map inject_Z X)). rewrite map_length in E. specialize (E L).
assert (a := run_reduces A ss X GA). assert (b := run_reduces B ss X GB).
unfold agree_mod in H. revert H E a b.
generalize (run_mod (residues A) ss X) (run_mod (residues B) ss X).
generalize (run A ss (map inject_Z X)) (run B ss (map inject_Z X)).
intros x y l m H E. revert l m H. induction E as [|q q' x y Eq E IH]; intros l m H a b; inversion a; inversion b; subst;
  cbn [equal_lists] in H; try discriminate.
apply andb_false_elim in H as [H|H]; [|now apply (IH _ _ H)].
apply Z.eqb_neq in H. apply H. eapply reduces_unique; eassumption.
Qed.
End Modulo.

(* the numbers of a network, each once: exponents and divisors that must be good *)
Definition good_layer (p : Z) (l : layer number) : bool :=
  let ok := fun k => good p (exponent k) (divisor k) in
  forallb (fun s => ok (snd s)) (feeds l) && forallb (forallb ok) (kernel l) && forallb ok (bias l).
Lemma good_layerP p l : good_layer p l = true -> fine_layer (good_number p) l.
Proof.
unfold good_layer. intro H. apply andb_prop in H as [H B]. apply andb_prop in H as [F K].
rewrite forallb_forall in F, K, B. repeat split; apply Forall_forall; intros x I.
- exact (F x I).
- apply Forall_forall. specialize (K x I). rewrite forallb_forall in K. exact K.
- exact (B x I).
Qed.

Fixpoint trial (fuel : nat) (d p : Z) : bool :=
  match fuel with
  | O => false
  | S f => if p <? d * d then true else if p mod d =? 0 then false else trial f (d + 1) p
  end.
Definition prime_check (fuel : nat) (p : Z) : bool := (1 <? p) && trial fuel 2 p.
Lemma trialP p : forall fuel d, 2 <= d -> trial fuel d p = true -> forall n, d <= n -> n * n <= p -> ~ (n | p).
Proof.
induction fuel as [|f IH]; intros d D H n N S; cbn [trial] in H; [discriminate|].
destruct (Z.ltb_spec p (d * d)) as [L|_]; [nia|].
destruct (Z.eqb_spec (p mod d) 0) as [_|M]; [discriminate|].
destruct (Z.eq_dec n d) as [->|Ne]; [|apply (IH (d + 1)); lia || assumption].
intro V. apply M. now apply Znumtheory.Zdivide_mod.
Qed.
Theorem prime_checkP fuel p : prime_check fuel p = true -> prime p.
Proof.
intro H. apply andb_prop in H as [B H]. apply Z.ltb_lt in B. apply prime_alt. split; [exact B|].
intros n N [m M]. assert (P : 0 < m) by nia.
destruct (Z_le_gt_dec n m) as [L|G].
- apply (trialP p fuel 2 ltac:(lia) H n ltac:(lia)); [nia|]. exists m. exact M.
- destruct (Z.eq_dec m 1) as [->|]; [lia|].
  apply (trialP p fuel 2 ltac:(lia) H m ltac:(lia)); [nia|]. exists n. lia.
Qed.

Print Assumptions disagree_mod.
Print Assumptions prime_checkP.
