(******************************************************************************)
(*     The homotopy polynomial: W and B as polynomials in the skip strength   *)
(*                                                                            *)
(* Give every skip the one strength t and leave the feeds at 1.  Then         *)
(*   A_L(t) = sum_d t^d A_(L,d),   d = the number of skips on a path,         *)
(* of degree at most floor(L/2), as a skip jumps over a layer.                *)
(*                                                                            *)
(*   with_strength N t == the network N with t^(j,j) = 1 and t^(k,j) = t for  *)
(*                        every k < j                                         *)
(*         skips s q L == the number of skips on the path q from s to L       *)
(*       coef N s L d == the sum of the words of the paths with d skips;      *)
(*                        A_(L,d) = coef N 0 L d                              *)
(*            Apoly N L == A_L as a matrix of polynomials                     *)
(*           constant == K -> K[t], the numbers as polynomials                *)
(*               ones == a network that attains the degree                    *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn response paths morphism.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Skips.

Fixpoint skips (s : nat) (q : seq nat) (L : nat) : nat :=
  match q with
  | [::] => (s != L.-1)
  | k :: q' => (k != L.-1) + skips s q' k
  end.

(* a skip jumps over a layer, so d skips need 2d layers *)
Theorem skips_le s q L : path gtn L (rcons q s) -> ((skips s q L).*2 <= L - s)%N.
Proof.
have skip k i : (k < i)%N -> ((k != i.-1 : nat).*2 <= i - k)%N.
  case: i => // i; rewrite ltnS => ki; rewrite subSn //=.
  by have [->|kin] := eqVneq k i; rewrite // ltnS subn_gt0 ltn_neqAle kin.
elim: q L => [|k q IH] L /=; first by rewrite andbT; apply: skip.
move=> /andP[kL qs]; have sk : (s < k)%N.
  by move/(order_path_min (rev_trans ltn_trans))/allP: qs; apply; rewrite mem_rcons mem_head.
have -> : (L - s = (L - k) + (k - s))%N by rewrite addnBA ?subnK // ltnW.
by rewrite doubleD leq_add ?IH ?skip.
Qed.

End Skips.

Section Homotopy.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).

Definition with_strength (t : K) : skipnet K d e p :=
  SkipNet (weight N) (pad N) (resize N) (fun k j => if k == j then 1 else t).

Definition coef (s L c : nat) : 'M[K]_(d L, d s) :=
  if (s < L)%N then \sum_(q <- paths s L | skips s q L == c) path_mx N s q L
  else (c == 0%N)%:R *: unit_at K d s L.

Lemma coef_before s L c : (L < s)%N -> coef s L c = 0.
Proof. by move=> Ls; rewrite /coef ltnNge (ltnW Ls) /= unit_at_neq ?scaler0 ?gtn_eqF. Qed.

Lemma path_t_strength t s q L : path_t (with_strength t) s q L = t ^+ skips s q L.
Proof.
have if_expr k : (if k == L.-1 then 1 else t) = t ^+ (k != L.-1).
  by case: eqP; rewrite ?expr0 ?expr1.
elim: q L if_expr => [|k q IH] L if_expr /=; rewrite if_expr // exprD IH // => i.
by case: eqP; rewrite ?expr0 ?expr1.
Qed.

(* no path from s to L has more than (L - s)/2 skips *)
Theorem coef_gt s L c : ((L - s)./2 < c)%N -> coef s L c = 0.
Proof.
move=> Lc; rewrite /coef; case: ltnP => [sL|_]; last first.
  by rewrite gtn_eqF ?scale0r // (leq_ltn_trans _ Lc).
rewrite big_seq_cond big1 // => q /andP[]; rewrite mem_paths // => /skips_le.
by rewrite -geq_half_double => sL2 /eqP sc; move: Lc; rewrite -sc ltnNge sL2.
Qed.

Theorem homotopy t s L :
  response (with_strength t) s L = \sum_(c < (L - s)./2.+1) t ^+ c *: coef s L c.
Proof.
rewrite /coef; case: ltnP => [sL|Ls]; last first.
  rewrite big_ord_recl (eqP (Ls : L - s == 0)%N) big_ord0 addr0 expr0 !scale1r.
  case: ltngtP Ls => // [Ls|->] _; last by rewrite response_id unit_at_id.
  by rewrite response_before // unit_at_neq // gtn_eqF.
rewrite path_sum //; under [RHS]eq_bigr do rewrite scaler_sumr big_mkcond.
rewrite [RHS]exchange_big /= !big_seq; apply: eq_bigr => q; rewrite mem_paths // => /skips_le.
rewrite -geq_half_double -ltnS path_t_strength => qL.
rewrite (bigD1 (Ordinal qL)) //= eqxx big1 ?addr0 // => c.
by rewrite -val_eqE eq_sym /= => /negPf ->.
Qed.

(* W as a polynomial in t of degree at most floor(L/2) *)
Theorem homotopy_Wof t L :
  Wof (with_strength t) L = \sum_(c < L./2.+1) t ^+ c *: coef 0 L c.
Proof. by rewrite -response_Wof homotopy subn0. Qed.

(* B as a polynomial in t of degree at most floor((L-1)/2) *)
Theorem homotopy_Bof t n (B : forall i, 'M[K]_(d i, n)) L :
  Bof (with_strength t) B L =
  \sum_(c < L.-1./2.+1) t ^+ c *: \sum_(1 <= s < L.+1) coef s L c *m B s.
Proof.
under [RHS]eq_bigr do rewrite scaler_sumr.
rewrite exchange_big Bof_sum /= !big_nat; apply: eq_bigr => s /andP[s0 _].
have sL : ((L - s)./2 < L.-1./2.+1)%N by rewrite ltnS half_leq // -subn1 leq_sub2l.
rewrite homotopy mulmx_suml -(subnKC sL) big_split_ord /= [X in _ + X]big1 ?addr0 => [|c _].
  by apply: eq_bigr => c _; rewrite scalemxAl.
by rewrite coef_gt ?mul0mx ?scaler0 // ltn_addr.
Qed.

(* the coefficients by a recursion: one pass for all t, what a program computes *)
Lemma coef_shift s k c h : (s < k)%N ->
  (if (h <= c)%N then coef s k (c - h) else 0) =
  \sum_(q <- paths s k) if (h + skips s q k == c)%N then path_mx N s q k else 0.
Proof.
move=> sk; rewrite /coef sk big_mkcond; case: leqP => hc.
  by apply: eq_bigr => q _; rewrite -(eqn_add2l h) subnKC.
by rewrite big1 // => q _; rewrite gtn_eqF // ltn_addr.
Qed.

Lemma coef_hop s j c : (s <= j)%N ->
  coef s j.+1 c = \sum_(k < j.+1)
    word N k j.+1 *m (if ((k : nat) != j <= c)%N then coef s k (c - ((k : nat) != j)) else 0).
Proof.
move=> /subnKC <-; move: (j - s)%N => m {j}.
rewrite {1}/coef ltnS leq_addr paths_descents big_mkcond sum_descents.
rewrite -addnS big_split_ord /= addnS [X in _ = X + _]big1 ?add0r => [|k _]; last first.
  by rewrite coef_before // if_same mulmx0.
rewrite big_ord_recl /= addn0; congr (_ + _).
  rewrite /coef ltnn unit_at_id /=; case: leqP => hc; last by rewrite mulmx0 gtn_eqF.
  rewrite -scalemxAr mulmx1 subn_eq0 eqn_leq hc /=.
  by case: ifP; rewrite ?scale1r ?scale0r.
apply: eq_bigr => k _; rewrite /bump add1n addnS coef_shift ?ltnS ?leq_addr //.
rewrite paths_descents mulmx_sumr; apply: eq_bigr => q _.
by case: ifP; rewrite ?mulmx0.
Qed.

Theorem coef_rec s j : (s <= j)%N ->
  coef s j.+1 0 = word N j j.+1 *m coef s j 0 /\
  forall c, coef s j.+1 c.+1 = word N j j.+1 *m coef s j c.+1
                             + \sum_(k < j) word N k j.+1 *m coef s k c.
Proof.
move=> sj; split=> [|c]; rewrite coef_hop // big_ord_recr /= eqxx ?subn0.
  by rewrite big1 ?add0r // => k _; rewrite ltn_eqF // mulmx0.
by rewrite addrC; congr (_ + _); apply: eq_bigr => k _; rewrite ltn_eqF // subn1.
Qed.

(* A_L as a matrix of polynomials *)
Definition Apoly L : 'M[{poly K}]_(d L, d 0) :=
  \matrix_(r, c) \poly_(i < L./2.+1) coef 0 L i r c.

Theorem Apoly_degree L r c : (size (Apoly L r c) <= L./2.+1)%N.
Proof. by rewrite mxE size_poly. Qed.

Theorem Apoly_eval t L r c : (Apoly L r c).[t] = Wof (with_strength t) L r c.
Proof.
rewrite homotopy_Wof mxE horner_poly summxE.
by apply: eq_bigr => i _; rewrite mxE mulrC.
Qed.

End Homotopy.

(* ... is the collapsed matrix of the network over K[t] with strength t *)
Section OverPolynomials.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).

Definition constant : {rmorphism K -> {poly K}} := [rmorphism of polyC].
Local Notation NX := (with_strength (map_net constant N) 'X).

Lemma path_mx_polyC s q L :
  path_mx (map_net constant N) s q L = map_mx polyC (path_mx N s q L).
Proof.
have word_polyC k i : word (map_net constant N) k i = map_mx polyC (word N k i).
  by case: i => [|j] /=; rewrite ?map_mx0 ?map_mxM.
by elim: q L => [|k q IH] L /=; rewrite word_polyC // IH map_mxM.
Qed.

Theorem Apoly_Wof L : Apoly N L = Wof NX L.
Proof.
apply/matrixP => r c; rewrite homotopy_Wof mxE poly_def summxE; apply: eq_bigr => i _.
rewrite mxE -mul_polyC mulrC; congr (_ * _); rewrite /coef; case: ifP => _.
  rewrite !summxE rmorph_sum; apply: eq_bigr => q _.
  by rewrite path_mx_polyC [RHS]mxE.
by rewrite !mxE rmorphM !rmorph_nat.
Qed.
End OverPolynomials.

(* the degree floor(L/2) is attained, at every L *)
Section Sharp.
Variable K : numDomainType.

Definition one_each (i : nat) : nat := 1.
Definition ones : skipnet K one_each one_each one_each :=
  @SkipNet K one_each one_each one_each (fun=> 1%:M) (fun=> 1%:M) (fun _ _ => 1%:M) (fun _ _ => 1).

(* from L down to 0, by skips over one layer each *)
Fixpoint jumps L : seq nat := if L is (i.+1 as k).+2 then k :: jumps k else [::].

Lemma path_jumps L : (0 < L)%N -> path gtn L (rcons (jumps L) 0%N).
Proof.
elim/ltn_ind: L => -[|[|[|L]]] // IH _; rewrite /= !ltnS leqnSn.
exact: (IH L.+1).
Qed.

Lemma skips_jumps L : (0 < L)%N -> skips 0 (jumps L) L = L./2.
Proof.
elim/ltn_ind: L => -[|[|[|L]]] // IH _.
by rewrite [LHS]/= (IH L.+1) // ltn_eqF.
Qed.

Lemma path_mx_ones s q L : path gtn L (rcons q s) -> path_mx ones s q L = 1%:M.
Proof.
elim: q L => [|k q IH] [|L] //= => [_|/andP[_ /IH ->]]; by rewrite !mulmx1.
Qed.

Theorem degree_attained L : coef ones 0 L L./2 0 0 != 0.
Proof.
case: (posnP L) => [->|L0]; first by rewrite /coef /= scale1r unit_at_id mxE oner_eq0.
rewrite /coef L0 big_seq_cond (eq_bigr (fun=> 1%:M)) => [|q /andP[]]; last first.
  by rewrite mem_paths // => qL _; rewrite path_mx_ones.
rewrite -big_filter big_const_seq iter_addr_0 mulmxnE mxE pnatr_eq0 -lt0n -has_count.
apply/hasP; exists (jumps L) => //; rewrite mem_filter skips_jumps ?eqxx ?andbT //.
by rewrite mem_paths // path_jumps.
Qed.

End Sharp.

Print Assumptions skips_le.
Print Assumptions coef_gt.
Print Assumptions homotopy.
Print Assumptions homotopy_Wof.
Print Assumptions homotopy_Bof.
Print Assumptions coef_rec.
Print Assumptions Apoly_degree.
Print Assumptions Apoly_eval.
Print Assumptions Apoly_Wof.
Print Assumptions degree_attained.
